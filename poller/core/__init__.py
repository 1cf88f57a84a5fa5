"""The deciding half: values in, values out.

Nothing in this package awaits, reads a clock, rolls dice, logs, counts or talks to anybody; `now` is always an argument.
Read `model` for the values, then `policy` for what happens to a record after each attempt.
"""
