"""How many threads fastbp uses, and the pool that they come from.

`limits` is what users set, `cpus` what counts without them, `threadpools` what threadpoolctl is
told; `pool` runs the work, with a workspace for each thread. Nothing is imported here, so that the
pool can ask for the CPUs.
"""
