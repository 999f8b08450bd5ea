"""The parts of the shop on AWS."""
