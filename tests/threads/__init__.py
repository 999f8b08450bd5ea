"""Public threads in which other shops lost orders or took money twice, rebuilt in this one."""
