"""The stages of a job's way, and the conveyor that carries it through them.

A stage is a function from a batch of jobs to outcomes: it knows neither Dramatiq nor SQL nor HTTP.
"""
