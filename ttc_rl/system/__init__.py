"""Files, locks, processes, ports and versions: what every room needs of the machine."""
