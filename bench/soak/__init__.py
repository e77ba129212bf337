"""`make wf:intent:chaos:soak`: runs under fire, and an oracle that counts what must not happen twice.

recipes, handlers   what the runs do
script              which runs a round has, what is done to them, and how each must end
fleet               the runners, and what happens to them
oracle              what the database says afterwards
play                rounds, from the first start to the report
view                how it looks
"""
