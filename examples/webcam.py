"""Shows cartoons of a webcam, or of a video file, with the frame rate; the key q quits.

    pip install . opencv-python                     # in a clone; not opencv-python-headless, which has no windows
    python examples/webcam.py                       # the first camera; the second: webcam.py 1
    python examples/webcam.py clip.mp4 -o cartoon.mp4

With `ppcartoon clip.mp4`, a video keeps its audio and flickers less.
"""

import argparse

import cv2

from ppcartoon import CartoonPredictor

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("source", nargs="?", default="0", help="number of a camera, or a video file")
parser.add_argument("-o", "--output", help="MP4 file to write, instead of opening a window")
args = parser.parse_args()
capture = cv2.VideoCapture(int(args.source) if args.source.isdecimal() else args.source)
ok, frame = capture.read()
if not ok:
    parser.error(f"{args.source}: no such camera or video")
if args.output:  # a camera that is slower with cartoons gives a video that is faster than life
    rate, codec = capture.get(cv2.CAP_PROP_FPS) or 25, cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(args.output, codec, rate, frame.shape[1::-1])
    if not writer.isOpened():
        parser.error(f"{args.output}: cannot be written")

predictor = CartoonPredictor("peppercarrot", working_size=256)  # smaller is faster, and has bolder strokes
meter = cv2.TickMeter()
while ok:
    meter.start()
    cartoon = cv2.cvtColor(predictor(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)), cv2.COLOR_RGB2BGR)
    cv2.putText(cartoon, f"{meter.getFPS():.1f} frames/s", (10, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 255), 2)
    if args.output:
        writer.write(cartoon)
    else:
        cv2.imshow("ppcartoon", cartoon)
        if cv2.waitKey(1) == ord("q"):
            break
    ok, frame = capture.read()
    meter.stop()
if args.output:
    writer.release()
