"""Why a group is as it is, or a node is not what somebody expects: `hactl why` and `hactl why-not`."""
