"""The bus: tells other processes to look at jobs again."""
