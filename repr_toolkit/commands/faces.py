"""The command that makes a data file of a folder of photographs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from repr_toolkit.commands import checks
from repr_toolkit.commands.options import Settings, add_command

if TYPE_CHECKING:
    from repr_toolkit.faces import FaceJob, Report

NAMED = 5  # photographs that are named for each reason


def faces(options: Namespace, settings: Settings) -> None:
    """Make a data file of a folder of photographs.

    It holds the face in each, found by MTCNN and cut out, its embedding by FaceNet, its landmarks,
    and the person, by the sub-folder's name. What was skipped is listed with the reason, also in
    NAME.skipped.csv. A photograph that lies on its side, or upside down, is turned, and faces that
    the detector is not certain of are named.

    What is done is kept in NAME.parts beside OUT.npz until all is there, and after a kill the same
    command goes on with --resume.
    """
    from repr_toolkit.faces import Detector, FaceJob, FaceNet
    from repr_toolkit.faces.pipeline import SETTINGS
    from repr_toolkit.support.processes import fastest_device

    job = FaceJob(
        Path(options.folder),
        Path(options.out),
        overwrite=options.overwrite,
        allow_one_identity=options.allow_one_identity,
        **{name: options[name] for name in SETTINGS},
    )
    device = fastest_device()
    detector = Detector(select=options.select, min_face_size=options.min_face_size, device=device)
    facenet = FaceNet(options.weights).to(device).eval()
    report = job.run(detector, facenet, resume=options.resume, progress=True)
    _show(job, report, facenet.identity, options.select)


def _show(job: "FaceJob", report: "Report", encoder: str, select: str) -> None:
    from repr_toolkit.data.walk import skipped_text
    from repr_toolkit.faces.detection import CERTAIN
    from repr_toolkit.faces.pipeline import LEAST_FACES
    from repr_toolkit.support.tables import wrapped

    print(f"{report.faces} faces of {report.people} people, embedded by {encoder}: {job.out}")
    if report.several:
        chosen = "most central" if select == "center" else "largest"
        print(f"{report.several} of the photographs show several faces; the {chosen} was taken")
    if report.turned:
        print(f"{len(report.turned)} photographs did not stand upright, and were turned")
        _name([f"{photo}, by {degrees} degrees" for photo, degrees in report.turned])
    if report.uncertain:
        print(f"{len(report.uncertain)} faces are uncertain: a probability below {CERTAIN}")
        _name([f"{photo}, {probability:.3f}" for photo, probability in report.uncertain])
    if job.layout.split_folders:
        print(f"splits are by folder: {', '.join(sorted(job.layout.split_folders.values()))}")
    elif report.people == 1 and job.allow_one_identity:
        if report.faces < LEAST_FACES:
            print("fewer than 3 photographs cannot be split into train, val and test")
    elif report.people < 3:
        print("fewer than 3 people cannot be split by person into train, val and test")
    if report.others:
        print(f"{skipped_text(report.others)}; listed in {job.skipped_file}")
    if not report.skipped:
        return
    reasons: dict[str, list[str]] = {}
    for photo, reason in report.skipped:
        reasons.setdefault(reason, []).append(photo)
    print(f"{len(report.skipped)} photographs skipped")
    for reason, photos in sorted(reasons.items(), key=lambda item: -len(item[1])):
        print(wrapped(f"{reason}, {len(photos)}:", "- "), end="")
        _name(photos)
    print(f"all of them: {job.skipped_file}")


def _name(photos: list[str]) -> None:
    """Print the first of some photographs, and how many more there are."""
    more = [f"and {len(photos) - NAMED} more"] if len(photos) > NAMED else []
    print(*(f"    {name}" for name in photos[:NAMED] + more), sep="\n")


def add_commands(subcommands: Any) -> None:
    command = add_command(subcommands, faces, "photographs to faces and embeddings")
    command.add_argument(
        "folder",
        metavar="DIR",
        help="folder with a sub-folder of photographs for each person",
        check=checks.folder,
    )
    command.add_argument("out", metavar="OUT.npz", help="data file to write")
    command.checks.append(checks.new_output(".npz"))
    command.add_argument(
        "--weights",
        default="vggface2",
        help="FaceNet's: vggface2 or casia-webface, looked for in $REPR_TOOLKIT_DATA and in "
        "torch's cache, else downloaded; or a .pt or .safetensors file",
        check=checks.weights,
    )
    command.add_count("--image-size", 32, "side of the images in pixels")
    command.add_argument(
        "--image-margin",
        type=float,
        default=0.0,
        help="how much wider than the face the images are, as a fraction of it",
    )
    command.add_argument(
        "--select", choices=("center", "largest"), default="center", help="which of several faces"
    )
    command.add_argument(
        "--several",
        choices=("take", "skip"),
        default="take",
        help="take one face of a photograph with several, or skip it",
    )
    command.add_count("--min-face-size", 60, "smallest face to look for, in pixels")
    command.add_count("--batch-size", 32, "photographs done and kept at a time")
    command.add_argument(
        "--allow-one-identity",
        action="store_true",
        help="take photographs of one person only, whose splits are then by photograph",
    )
    command.add_shared("--resume")
    command.add_shared("--overwrite", help="replace OUT.npz if it exists")
