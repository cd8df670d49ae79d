# A pool on the replicated disk, the addresses in one variable, and a watcher in a crontab that only reads.
set_up() {
	mkdir -p /data /usr/local/sbin
	cat >>/etc/rc.conf <<-END
		kld_list="zfs carp"
		hastd_enable=YES
		ifconfig_vtnet1_aliases="inet 192.0.2.80/24 vhid 80 advskew $SKEW pass exam.pass.1"
	END
	printf '%s\n' 'net.inet.carp.preempt=1' 'net.inet.carp.log=2' >>/etc/sysctl.conf
	cat >/etc/hast.conf <<-'END'
		timeout 10
		resource data {
			on nas-a { local /dev/vtbd1
			           remote tcp4://198.51.100.12:8457 }
			on nas-b { local /dev/vtbd1
			           remote tcp4://198.51.100.11:8457 }
		}
	END
	printf '#!/bin/sh\nhastctl status >/var/run/hast.status 2>&1\n' >/usr/local/sbin/hast-watch
	chmod 755 /usr/local/sbin/hast-watch
	echo '*/5	*	*	*	*	root	/usr/local/sbin/hast-watch' >>/etc/crontab
	hastctl create data
}
begin() {
	hastctl role primary data
	wait_for '[ -c /dev/hast/data ]'
	zpool create -m /data tank /dev/hast/data
	service nfsd onestart
	service records onestart
}
standby() { hastctl role secondary data; }
