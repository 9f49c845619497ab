"""All SQL of SynthralOS, for PostgreSQL and SQLite alike."""
