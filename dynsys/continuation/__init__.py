"""Fixed points followed through a family of systems: branches, bifurcations, and from one system to a near one."""
