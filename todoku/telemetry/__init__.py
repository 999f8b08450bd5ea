"""What the shop tells of itself while it works: lines in a log, traces, faults; tied together, without secrets."""
