"""The doorbell: a Dramatiq broker from a URL, and the one who rings it.

The database is the truth. A message says "these jobs have work at this stage" and nothing else, so it may
be lost, doubled, late or out of order: claiming is fenced in the database, and the sweeper rings again.
"""
