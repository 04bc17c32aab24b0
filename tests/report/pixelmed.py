"""PixelMed's DicomSRValidator on several files in one Java machine: ``python -m tests.report.pixelmed FILE...``.

Prints one JSON list of lines for each file. The validator's own program takes one file and half of its time to start.
"""

from __future__ import annotations

import json
import sys
import threading

JAR = "/usr/share/java/pixelmed.jar"
_FLAGS = (
    # Without these the Java library refuses PixelMed's style sheets (JAXP0801003).
    "-Djdk.xml.xpathExprGrpLimit=0",
    "-Djdk.xml.xpathExprOpLimit=0",
    "-Djdk.xml.xpathTotalOpLimit=0",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
)
_STACK = 256 << 20
"""Bytes: the style sheets recurse deeply."""


def _judge(paths: list[str]) -> None:
    import jpype

    jpype.startJVM(*_FLAGS, classpath=[JAR])
    validator = jpype.JClass("com.pixelmed.validate.DicomSRValidator")()
    attributes = jpype.JClass("com.pixelmed.dicom.AttributeList")
    for path in paths:
        one = attributes()
        one.read(path)
        print(json.dumps(str(validator.validate(one)).splitlines()), flush=True)


if __name__ == "__main__":
    threading.stack_size(_STACK)
    thread = threading.Thread(target=_judge, args=(sys.argv[1:],))
    thread.start()
    thread.join()
