"""The command line. stdout is data, stderr is everything else.

Exit codes: 0 done, 1 error, 2 usage, 3 denied by policy, 4 verification failed.
"""
