"""Asks the world what a configuration only claims: that sources exist, the store answers, functions start.

Nothing is consumed or changed: no record is read, no message received or sent, no file made. `finding` is what comes out,
`examine` puts all questions, `streams`, `queues`, `store` and `functions` know them.
"""
