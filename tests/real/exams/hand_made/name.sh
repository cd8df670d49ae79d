# The device is called otherwise than the resource (case 01 of the first strangers): a document cannot say that yet.
set_up() {
	mkdir -p /data
	cat >>/etc/rc.conf <<-END
		kld_list="carp"
		hastd_enable="YES"
		ifconfig_vtnet1_alias0="inet 192.0.2.80/24 vhid 80 advskew $SKEW pass exam.pass.1"
	END
	echo 'net.inet.carp.preempt=1' >>/etc/sysctl.conf
	cat >/etc/hast.conf <<-'END'
		resource data {
			name shared
			on nas-a {
				local /dev/vtbd1
				remote 198.51.100.12
			}
			on nas-b {
				local /dev/vtbd1
				remote 198.51.100.11
			}
		}
	END
	hastctl create data
}
begin() {
	hastctl role primary data
	wait_for '[ -c /dev/hast/shared ]'
	newfs -U /dev/hast/shared >/dev/null
	mount -o noatime /dev/hast/shared /data
	service nfsd onestart
	service records onestart
}
standby() { hastctl role secondary data; }
