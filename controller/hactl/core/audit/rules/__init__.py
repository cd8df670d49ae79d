"""What no step may do, area by area: each rule is given one effect and the model it would meet."""
