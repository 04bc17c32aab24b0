"""CT of known truth: a torso with spine, phantom and couch, rendered from formulas and written as DICOM.

- ``spec``      what can be asked for: one frozen ``TorsoSpec``
- ``presets``   ready specifications by name
- ``torso``     ``make(spec)``: attenuation, labels and truth
- ``dicom``     ``write(case, folder)``: a study as a scanner would send it, or with faults on purpose
- ``column``, ``vertebra``, ``ribs``, ``pelvis``, ``trunk``, ``organs``  the anatomy, each in body coordinates
- ``couch``, ``phantoms``  what lies below the patient
- ``canvas``, ``shapes``   the renderer; ``physics`` and ``scanner`` attenuation, blur and noise
"""
