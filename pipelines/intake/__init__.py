"""From a document to jobs, for every door: what a submission may say, and what is wrong with it. It knows no HTTP."""
