"""The package, from the door to the floor (imports go downwards only).

cli, app            the command line; the parts put together
intake              the door in: DICOM storage SCP, series assembly
workflow            durable jobs: measure, report, deliver
delivery            the door out: DICOM storage SCU, retries
pipeline            measure(): one series becomes findings and a report
imaging             arrays in, findings out; knows no DICOM
report, dicom       findings → DICOM objects; DICOM files → volumes
ledger, routing     what arrived and what became of it; which series are measured, and why
config, domain      the configuration; the things that flow
"""
