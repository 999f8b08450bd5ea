"""The shop on AWS Step Functions, played by moto and a plugin of our own."""
