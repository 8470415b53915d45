"""The parts of report.html: what is read, what is said of it, and where every number comes from.

`reading` opens the bundle, `sources` keeps what each number rests on, every other module makes one section of the
page. `report.html` puts them together.
"""
