# As a role of Ansible leaves it: managed blocks, rc.conf.local and rc.conf.d, every option written out; a person moves it.
set_up() {
	mkdir -p /data /etc/rc.conf.d
	cat >>/etc/rc.conf <<-'END'
		# BEGIN ANSIBLE MANAGED BLOCK ha
		kld_list="carp"
		# END ANSIBLE MANAGED BLOCK ha
	END
	cat >/etc/rc.conf.local <<-END
		# {{ ansible_managed }}
		ifconfig_vtnet1_alias0="inet 192.0.2.80 netmask 255.255.255.0 vhid 80 pass 'exam.pass.1' advskew $SKEW advbase 1"
	END
	echo 'hastd_enable="YES"' >/etc/rc.conf.d/hastd
	echo 'net.inet.carp.preempt=1' >/etc/sysctl.conf.local
	cat >/etc/hast.conf <<-END
		# {{ ansible_managed }}
		listen tcp4://$OWN
		replication memsync
		timeout 20
		checksum crc32
		compression lzf
		resource data {
			metaflush off
			local /dev/vtbd1
			on nas-a {
				remote tcp4://198.51.100.12
				source tcp4://198.51.100.11
			}
			on nas-b {
				remote tcp4://198.51.100.11
				source tcp4://198.51.100.12
			}
		}
	END
	cat >/etc/rc.local <<-'END'
		#!/bin/sh
		# after a boot we never serve by ourselves
		hastctl role secondary data
	END
	hastctl create data
}
begin() { begin_ufs; }
standby() { :; }
