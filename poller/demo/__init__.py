"""The demo: the real daemon on a stand-in for AWS, with a feed of orders, some of which fail.

What it shows of the daemon is what any operator could see: `/metrics`, the log, and the depth of queues. Programs run on a leash
(`children`): nothing outlives the demo, however it ends.
"""
