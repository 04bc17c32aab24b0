"""The record of the scanners, judged: control charts, alarms, due dates, stored calibrations. Pure functions.

- ``control``      Shewhart limits and cumulative sums over one quantity
- ``charts``       one chart for each quantity of each scanner, kVp and kernel class
- ``standing``     what is in control, what is due, accuracy and precision
- ``borrowing``    asynchronous and cross-calibration for one job
- ``drawing``      charts as SVG and PNG
- ``page``         the page that a physicist signs
"""
