"""A person's own files, which must never cost them their session: the home, its settings, how full it is."""
