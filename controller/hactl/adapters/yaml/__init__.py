"""YAML read strictly: text to nodes that know their place, to data, to documents."""
