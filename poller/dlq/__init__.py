"""Dead-letter queues, for operators: what is in them, and how it gets out again.

`place.py` finds the queue of a mapping; `reading.py` goes once over a queue and gives back what it took; `letters.py` is what a
message says; `wish.py` which of them are meant. `moving.py` sends them to a queue, `tasks.py` has SQS do that, `feeding.py` hands
them to the function, `purging.py` deletes them; `work.py` is all of that. A message leaves the dead-letter queue only after it is
elsewhere, whatever happens.
"""
