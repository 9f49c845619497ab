"""What models say while they are still speaking: kept in chunks, and told to every process where somebody listens."""
