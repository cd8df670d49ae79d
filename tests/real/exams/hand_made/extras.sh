# Years of additions: a program that hastd calls, a second vhid for a resolver, an interface with a description, a fence.
set_up() {
	mkdir -p /data /usr/local/sbin
	switch_program
	sed -i '' 's/^\(ifconfig_vtnet1="[^"]*\)"/\1 description office mtu 1500"/' /etc/rc.conf
	cat >>/etc/rc.conf <<-END
		kld_list="\${kld_list} carp"
		hastd_enable="YES"
		ifconfig_vtnet1_alias0="inet 192.0.2.80/24 vhid 80 advskew $SKEW pass exam.pass.1"
		ifconfig_vtnet1_alias1="inet 192.0.2.53/24 vhid 53 advskew $((100 - SKEW)) pass other.pass"
	END
	echo 'net.inet.carp.preempt=1' >>/etc/sysctl.conf
	cat >/etc/hast.conf <<-'END'
		resource data {
			exec /usr/local/sbin/hast-event
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
	printf '#!/bin/sh\nlogger -t hast-event "$*"\n' >/usr/local/sbin/hast-event
	chmod 755 /usr/local/sbin/hast-event
	cat >>/etc/devd.conf <<-'END'

		notify 100 {
			match "system" "CARP";
			match "type" "(MASTER|BACKUP)";
			action "logger -t carp-mail $subsystem $type";
		};
	END
	hastctl create data
}
begin() { begin_ufs; }
standby() { hastctl role secondary data; }
