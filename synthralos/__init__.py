"""What all SynthralOS processes share: the domain, the store, the doorbell and the settings."""
