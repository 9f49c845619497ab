"""The vocabulary of SynthralOS: states, jobs, failures, money, deployments. Pure: no I/O, no clock."""
