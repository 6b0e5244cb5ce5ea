"""A scan on several machines with Ray: the same records as on one, as parts in a shared folder.

The driver lists the photos, a part's worth to a file (`plan`). Workers take parts, judge them and
write them (`part`), and Ray deals them out (`run`). What passes through Ray is the number of a part
and its counts: no photo, no pixels, no records. Needs the extra `cluster`.
"""
