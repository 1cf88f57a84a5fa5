"""From what people have in AWS (a SAM or CloudFormation template, or the mappings of an account) to a configuration of ours.

`reader` and `resolver` understand templates, `functions` and `mappings` take out of them what we have too, `account` asks AWS,
`fitting` leaves out what the configuration refuses, and `writer` writes it down with a comment on each thing that could not
be carried over.
"""
