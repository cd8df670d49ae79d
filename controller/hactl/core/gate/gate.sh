# shellcheck shell=sh disable=SC2154,SC2034 # the settings stand in the head that hactl renders in front of this
#
# The gate: sshd runs it for a key that only looks, whatever was asked for, as `gate observe` (authorized_keys(5),
# command=). A request comes on standard input and is typed words, a line each, with "." at the end; what is not of
# that form is refused, and noted in syslog. Nothing of a request is ever run, expanded, or used as a name: its words
# are compared, and its numbers counted. What runs stands in this file, which belongs to root.
#
#	gate ID             the gate that the request was made for; another one asks for something else
#	look SECONDS        one pass of the probe, for at most so long   } one of
#	texts SECONDS       files that g_text names, by their numbers    } these
#	listen              what tells at once, until the caller is gone } three
#	nonce WORD          frames our lines in the answer
#	parts WORD ...      what a look asks, see hactl.core.parse.question
#	quick N  bounded N  0 or 1
#	services N ...  pids N ...  numbers     } what the node told last:
#	file TEXT  process TEXT     lines of it } only compared with what is so now
#	text N              a file of g_text

# The longest request, in bytes and lines; the longest a look may take, and how long a request is waited for, in seconds.
g_most=400000 g_most_lines=5000 g_longest=600 g_patience=20
g_line_end='
'

g_refuse() { # SENTENCE: never a word of the request
	logger -p auth.warning -t hactl-gate "refused: $1 (${g_level}, from ${SSH_CLIENT:-an unknown place})"
	printf 'hactl-gate: %s\n' "$1" >&2
	exit 77
}

g_number() { # WORD MOST
	case "$1" in '' | *[!0-9]* | ?????????*) return 1 ;; esac
	[ "$1" -le "$2" ]
}

# Every word of the text is one of the list.
g_all_of() { # LIST TEXT
	[ -n "$2" ] || return 0
	g_left="$2 "
	while [ -n "$g_left" ]; do
		g_word=${g_left%% *} g_left=${g_left#* }
		[ -n "$g_word" ] || return 1
		case " $1 " in *" $g_word "*) ;; *) return 1 ;; esac
	done
}

g_numbers() { # TEXT
	case "$1" in *[!0-9\ ]*) return 1 ;; esac
}

g_read() {
	g_verb='' g_seconds=0 g_nonce='' g_parts='' g_quick='' g_bounded='' g_for='' g_whole=0 g_lines=0
	g_services='' g_pids='' g_files='' g_processes='' g_texts=''
	while IFS= read -r g_line; do
		g_lines=$((g_lines + 1))
		[ "$g_lines" -le "$g_most_lines" ] || g_refuse 'the request has too many lines'
		[ "$g_whole" -eq 0 ] || g_refuse 'something stands after the end of the request'
		case "$g_line" in *[[:cntrl:]]*) g_refuse 'a line holds control characters' ;; esac
		g_value=${g_line#* }
		case "$g_line" in
		.) g_whole=1 ;;
		'gate '*) g_for=$g_value ;;
		'look '* | 'texts '*)
			[ -z "$g_verb" ] || g_refuse 'two things are asked for'
			g_verb=${g_line%% *} g_seconds=$g_value
			g_number "$g_seconds" "$g_longest" && [ "$g_seconds" -gt 0 ] || g_refuse 'the time is none'
			;;
		listen)
			[ -z "$g_verb" ] || g_refuse 'two things are asked for'
			g_verb=listen
			;;
		'nonce '*)
			g_nonce=$g_value
			case "$g_nonce" in *[!A-Za-z0-9]*) g_refuse 'the nonce is none' ;; esac
			[ ${#g_nonce} -ge 8 ] && [ ${#g_nonce} -le 64 ] || g_refuse 'the nonce is none'
			;;
		'parts '*) g_parts=$g_value; g_all_of "$g_every_part" "$g_parts" || g_refuse 'a part is asked for that is none' ;;
		'quick '*) g_quick=$g_value; g_all_of '0 1' "$g_quick" || g_refuse 'quick is neither 0 nor 1' ;;
		'bounded '*) g_bounded=$g_value; g_all_of '0 1' "$g_bounded" || g_refuse 'bounded is neither 0 nor 1' ;;
		'services '*) g_services=$g_value; g_numbers "$g_services" || g_refuse 'services are numbers' ;;
		'pids '*) g_pids=$g_value; g_numbers "$g_pids" || g_refuse 'pids are numbers' ;;
		'file '*) g_files="$g_files${g_files:+$g_line_end}$g_value" ;;
		'process '*) g_processes="$g_processes$g_value$g_line_end" ;;
		'text '*) g_number "$g_value" "$g_last_text" || g_refuse 'there is no such file'; g_texts="$g_texts $g_value" ;;
		*) g_refuse 'this is no request to the gate' ;;
		esac
	done
	[ "$g_whole" -eq 1 ] || g_refuse 'the request did not arrive whole, or there was none'
	[ "$g_for" = "$g_id" ] || g_refuse "this is gate $g_id, the request is for another: hactl node-access install"
	[ -n "$g_verb" ] || g_refuse 'nothing is asked for'
}

# CARP keys leave the node as their SHA-256 only, by which hactl compares them: of the characters that carp(4) takes.
g_hidden() { # KEY
	g_digest=$(printf '%.19s' "$1" | sha256)
	printf 'sha256:%s' "${g_digest%%[!0-9a-f]*}"
}

g_quote='"'
g_key_begins=" key $g_quote"

ifconfig() {
	g_out=$(command ifconfig "$@"); g_r=$?
	while IFS= read -r g_line; do
		case "$g_line" in
		*"$g_key_begins"*"$g_quote"*)
			g_key=${g_line#*"$g_key_begins"} g_after=${g_line##*"$g_quote"}
			g_key=$(g_hidden "${g_key%"$g_quote"*}")
			g_line=${g_line%%"$g_key_begins"*}$g_key_begins$g_key$g_quote$g_after
			;;
		esac
		printf '%s\n' "$g_line"
	done <<END_OF_IFCONFIG
$g_out
END_OF_IFCONFIG
	return "$g_r"
}

h_value() { # what rc.conf says: the word after each pass is hidden
	g_rest=$1
	case "$g_rest" in *pass*) ;; *) printf '%s\n' "$g_rest"; return ;; esac
	g_is=no
	set -f
	# shellcheck disable=SC2086
	set -- $g_rest
	set +f
	g_rest=''
	for g_word in "$@"; do
		[ "$g_is" = no ] || g_word=$(g_hidden "$g_word")
		g_is=no
		[ "$g_word" != pass ] || g_is=yes
		g_rest="$g_rest${g_rest:+ }$g_word"
	done
	printf '%s\n' "$g_rest"
}

g_look() {
	[ -n "$g_nonce" ] && [ -n "$g_quick" ] && [ -n "$g_bounded" ] || g_refuse 'the look is not said whole'
	h_frame="$g_frame $g_nonce" h_root='' h_parts=" $g_parts " h_quick=$g_quick h_bound=''
	[ "$g_bounded" -eq 0 ] || h_bound=$g_bound
	h_known_files=$g_files h_known_processes=$g_processes h_known_services=" $g_services " h_pids=" $g_pids "
	g_probe
}

g_tell() {
	[ -n "$g_nonce" ] || g_refuse 'the nonce is not said'
	g_place=0
	for g_n in $g_texts; do
		printf '%s begin %s\n' "$g_frame $g_nonce" "$g_place"
		g_text "$g_n"; g_r=$?
		printf '\n%s end %s %s\n' "$g_frame $g_nonce" "$g_place" "$g_r"
		g_place=$((g_place + 1))
	done
	printf '%s done\n' "$g_frame $g_nonce"
}

# First the request is read, to its end; then this file runs again, with a limit, and reads what was found good.
g_level=${1-}
case "$*" in
observe)
	g_request=$(timeout --foreground "$g_patience" head -c "$g_most")
	g_read <<END_OF_REQUEST
$g_request
END_OF_REQUEST
	set -- /bin/sh "$g_self" observe again
	[ "$g_seconds" -eq 0 ] || set -- timeout --foreground -k 5 "$g_seconds" "$@"
	exec "$@" <<END_OF_REQUEST
$g_request
END_OF_REQUEST
	;;
'observe again')
	g_read
	case "$g_verb" in
	look) g_look ;;
	texts) g_tell ;;
	listen) g_listen ;;
	esac
	;;
*) g_level=none; g_refuse 'the gate is called as: gate observe' ;;
esac
