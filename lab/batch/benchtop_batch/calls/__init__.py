"""Functions of a notebook as jobs: `from benchtop_batch import slurm, condor`.

function.py  the decorators, and what finds jobs of a kernel that is gone
options.py   what a job may ask for, and how each batch system is told
site.py      what the cluster has of that: partitions, GPUs, accounts
bundle.py    a job's folder: the function, its inputs, its results
run.py       the program of each job
job.py       one submission: its number, its results, how it ends
queues.py    what the batch system says of it
watch.py     the thread that looks at all jobs of this process, and the guardian that ends them with it
futures.py   what a call returns
failed.py    why there is no result
"""
