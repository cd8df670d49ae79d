# As the handbooks have it: everything in rc.conf, the module by loader.conf, devd calls a program of one's own.
set_up() {
	mkdir -p /data /usr/local/sbin
	switch_program
	cat >>/etc/rc.conf <<-END
		# HA, see wiki
		hastd_enable="YES"
		ifconfig_vtnet1_alias0="inet vhid 80 advskew $SKEW pass exam.pass.1 alias 192.0.2.80/32"
	END
	echo 'carp_load="YES"' >>/boot/loader.conf
	echo 'net.inet.carp.preempt=1' >>/etc/sysctl.conf
	cat >/etc/hast.conf <<-'END'
		resource data {
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
	cat >>/etc/devd.conf <<-'END'

		notify 30 {
			match "system" "CARP";
			match "subsystem" "80@vtnet1";
			match "type" "MASTER";
			action "/usr/local/sbin/carp-hast-switch primary";
		};
		notify 30 {
			match "system" "CARP";
			match "subsystem" "80@vtnet1";
			match "type" "BACKUP";
			action "/usr/local/sbin/carp-hast-switch secondary";
		};
	END
	hastctl create data
}
begin() { begin_ufs; }
standby() { hastctl role secondary data; }
