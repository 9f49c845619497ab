"""The craft of HTTP: who calls, what is read, how is answered and refused. It knows no job."""
