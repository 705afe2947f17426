"""Jobs and the network that they share."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import pytest
from PIL import Image

from ppcartoon.errors import InputError, UnavailableError
from ppcartoon.inference.predictor import CartoonPredictor
from ppcartoon.web import jobs as jobs_module
from ppcartoon.web import studio as studio_module
from ppcartoon.web.jobs import Job, Jobs, TooManyJobsError
from ppcartoon.web.studio import Limits, Options, Studio, Turns
from tests.helpers import videos
from tests.helpers.samples import photo

LIMITS = Limits(upload_mb=1, megapixels=1, seconds=2, waiting=5, disk_mb=3)


@pytest.fixture
def studio(predictor, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # restores what Studio sets
    return Studio({"tiny": predictor}, LIMITS)


@pytest.fixture
def jobs(studio, tmp_path):
    all_jobs = Jobs(studio, tmp_path)
    yield all_jobs
    all_jobs.close()


@pytest.fixture
def held(monkeypatch):
    """The network stands still until this is set."""
    event, draw = threading.Event(), CartoonPredictor.draw
    monkeypatch.setattr(CartoonPredictor, "draw", lambda self, photos: event.wait(20) and draw(self, photos))
    yield event
    event.set()


def new_job(jobs, name="a.png", **options):
    folder = jobs.new_folder()
    Image.fromarray(photo(16, 24)).save(folder / "source.png")
    job = Job(name, jobs.studio.check(Options(**options)), folder, folder / "source.png")
    jobs.prepare(job)
    return job


def run(jobs, job):
    jobs.submit(job).result(20)
    return job


def wait_until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_photos_and_frames_have_the_network_in_turn_each_in_order_of_arrival():
    turns, order, ready = Turns(), [], []

    def take(kind, number):
        with turns.turn(kind):
            order.append((kind, number))

    with turns.turn("photo"):
        for kind in ("photo", "video"):
            for number in range(3):
                thread = threading.Thread(target=take, args=(kind, number))
                thread.start()
                ready.append(thread)
                wait_until(lambda n=number, k=kind: len(turns._waiting[k]) == n + 1)
    for thread in ready:
        thread.join()
    assert order == [(kind, number) for number in range(3) for kind in ("video", "photo")]


def test_as_many_threads_as_there_are_networks_have_a_turn_at_the_same_time():
    turns, both = Turns(2), threading.Barrier(2, timeout=20)
    inside, most, lock = 0, 0, threading.Lock()

    def take(kind):
        nonlocal inside, most
        with turns.turn(kind):
            with lock:
                inside += 1
                most = max(most, inside)
            both.wait()
            with lock:
                inside -= 1

    threads = [threading.Thread(target=take, args=(kind,)) for kind in ("photo", "video", "photo", "photo")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2 and turns._free == 2


def test_a_turn_ends_with_an_error():
    turns = Turns()
    with pytest.raises(InputError), turns.turn("photo"):
        raise InputError("x")
    with turns.turn("video"):
        pass


def test_photos_of_one_size_that_wait_run_through_the_network_together(studio, predictor, monkeypatch):
    monkeypatch.setattr(predictor, "batch_size", 3)
    batches, draw = [], CartoonPredictor.draw
    monkeypatch.setattr(CartoonPredictor, "draw", lambda self, all: batches.append(len(all)) or draw(self, all))
    photos = [photo(16, 24, seed=i) for i in range(4)] + [photo(24, 16)]
    drawn = {}
    with studio._turns.turn("video"):
        threads = [
            threading.Thread(target=lambda i=i: drawn.update({i: studio._draw("tiny", photos[i])})) for i in range(5)
        ]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(studio._turns._waiting["photo"]) == 5)
    for thread in threads:
        thread.join()
    assert sorted(batches) == [1, 1, 3] and studio._photos == []
    for i in range(5):
        assert np.abs(np.int16(drawn[i]) - np.int16(draw(predictor, [photos[i]])[0])).max() <= 1


def test_a_photo_that_the_network_cannot_see_fails_alone(studio, monkeypatch):
    draw = CartoonPredictor.draw

    def fail_once(self, photos):
        monkeypatch.setattr(CartoonPredictor, "draw", draw)
        raise InputError("too large")

    monkeypatch.setattr(CartoonPredictor, "draw", fail_once)
    with pytest.raises(InputError, match="too large"):
        studio._draw("tiny", photo(16, 24))
    assert studio._photos == [] and studio._draw("tiny", photo(16, 24)).shape == (16, 24, 3)


def test_photos_that_run_together_fail_together(studio, predictor, monkeypatch):
    def fail(self, photos):
        raise InputError(f"{len(photos)} photos")

    monkeypatch.setattr(predictor, "batch_size", 2)
    monkeypatch.setattr(CartoonPredictor, "draw", fail)
    with ThreadPoolExecutor(2) as pool, studio._turns.turn("video"):
        drawn = [pool.submit(studio._draw, "tiny", photo(16, 24)) for _ in range(2)]
        wait_until(lambda: len(studio._photos) == 2)
    assert [str(each.exception()) for each in drawn] == ["2 photos"] * 2 and studio._photos == []


@pytest.mark.slow
def test_photos_of_up_to_200_megapixels_are_reduced(studio, tmp_path):
    Image.new("L", (16300, 12200), 120).save(tmp_path / "large.jpg")
    made = studio.photo(tmp_path / "large.jpg", Options(style="tiny", working_size=64), tmp_path, lambda: None)
    assert (made.width, made.height) == (1155, 864)
    Image.new("1", (16300, 12400)).save(tmp_path / "larger.png")
    with pytest.raises(InputError, match=r"larger\.png: more pixels than Pillow accepts"):
        studio.photo(tmp_path / "larger.png", Options(style="tiny"), tmp_path, lambda: None)


def test_position_and_time_left_count_the_jobs_before(jobs, held):
    jobs._photo_seconds.extend([4.0, 6.0])
    many = [new_job(jobs) for _ in range(5)]
    for job in many:
        jobs.submit(job)
    wait_until(lambda: [job.state for job in many] == ["running"] * 2 + ["waiting"] * 3)
    found = [jobs.status(job) for job in many]
    assert [status.position for status in found] == [0, 0, 2, 3, 4]
    left = [status.seconds_left for status in found]
    assert left[0] <= 5 and [round(seconds) for seconds in left[2:]] == [10, 12, 15]  # two run at the same time
    held.set()
    wait_until(lambda: all(job.state == "done" for job in many))
    assert {jobs.status(job).seconds_left for job in many} == {0.0}


def test_a_lane_that_is_full_refuses_jobs(jobs, held):
    for _ in range(LIMITS.waiting + jobs_module.PHOTO_WORKERS):
        jobs.submit(new_job(jobs))
        wait_until(lambda: jobs.waiting("photo") == [] or sum(j.state == "running" for j in jobs._jobs.values()) == 2)
    assert jobs.is_full("photo") and not jobs.is_full("video")
    with pytest.raises(TooManyJobsError, match="5 photos are waiting already"):
        jobs.submit(new_job(jobs))


def test_a_canceled_job_that_waits_is_not_made(jobs, held):
    many = [new_job(jobs) for _ in range(3)]
    futures = [jobs.submit(job) for job in many]
    wait_until(lambda: many[1].state == "running")
    jobs.delete(many[2])
    jobs.delete(many[0])
    assert many[2].state == "canceled" and not many[2].folder.exists() and jobs.get(many[2].id) is None
    held.set()
    for future in futures:
        future.result(20)
    assert [job.state for job in many] == ["canceled", "done", "canceled"] and many[2].made is None
    assert not many[0].folder.exists() and many[1].folder.exists()


def test_a_job_whose_files_are_deleted_at_its_end_is_counted(studio, tmp_path, monkeypatch):
    ended = []
    jobs = Jobs(studio, tmp_path, ended.append)
    make = jobs._make
    monkeypatch.setattr(jobs, "_make", lambda job: make(job) and shutil.rmtree(job.folder))
    assert [run(jobs, new_job(jobs))] == ended
    jobs.close()


def test_jobs_are_deleted_when_they_were_not_used_for_an_hour(jobs, monkeypatch):
    old, used = run(jobs, new_job(jobs)), run(jobs, new_job(jobs))
    jobs.tidy()
    now = time.monotonic()
    monkeypatch.setattr(jobs_module.time, "monotonic", lambda: now + jobs_module.KEPT - 60)
    assert jobs.get(used.id) is used
    monkeypatch.setattr(jobs_module.time, "monotonic", lambda: now + jobs_module.KEPT + 60)
    jobs.tidy()
    assert jobs.get(old.id) is None and not old.folder.exists() and used.folder.exists()


def test_only_unfinished_jobs_that_should_be_watched_are_canceled(jobs, held, monkeypatch):
    many = [new_job(jobs) for _ in range(5)]
    for job, watched, watchers in zip(many, (True, True, True, True, False), (0, 1, 0, 1, 0)):
        job.watched, job.watchers = watched, watchers
        jobs.submit(job)
    now = time.monotonic()
    monkeypatch.setattr(jobs_module.time, "monotonic", lambda: now + jobs_module.UNWATCHED + 1)
    jobs.tidy()
    held.set()
    wait_until(lambda: all(job.is_over for job in many))
    assert [job.state for job in many] == ["canceled", "done", "canceled", "done", "done"]


def test_the_oldest_results_make_room_for_an_upload(jobs):
    first, second = run(jobs, new_job(jobs)), run(jobs, new_job(jobs))
    first.bytes = second.bytes = 3 << 19
    jobs.get(first.id)
    jobs.new_folder().rmdir()
    assert jobs.get(second.id) is None and jobs.get(first.id) is first


def test_uploads_are_refused_while_all_space_is_in_use(jobs, held):
    job = new_job(jobs)
    jobs.submit(job)
    job.bytes = 3 << 20
    with pytest.raises(TooManyJobsError, match="all space for uploads is in use"):
        jobs.new_folder()


def test_an_unexpected_error_gives_a_general_message_and_a_line_in_the_log(jobs, monkeypatch, caplog):
    def fail(self, *inputs):
        raise RuntimeError("secret")

    monkeypatch.setattr(studio_module.Studio, "_draw", fail)
    job = run(jobs, new_job(jobs, "name.png"))
    assert job.state == "failed" and job.error == "something went wrong; the log of the service has the reason"
    assert caplog.messages == ["photo: RuntimeError: secret"]


def test_a_cluster_that_does_not_answer_is_named_and_is_not_the_fault_of_the_file(jobs, monkeypatch, caplog):
    def fail(self, *inputs):
        raise UnavailableError("the cluster is away")

    monkeypatch.setattr(studio_module.Studio, "_draw", fail)
    job = run(jobs, new_job(jobs))
    assert (job.state, job.error, job.broken) == ("failed", "the cluster is away", True)
    assert caplog.messages == ["photo: UnavailableError: the cluster is away"]


def test_photos_and_videos_have_workers_for_each_network(studio, tmp_path):
    studio.networks = 3
    jobs = Jobs(studio, tmp_path)
    assert jobs._workers == {"photo": 6, "video": 3}
    jobs.close()


def test_close_ends_what_runs_and_what_waits(studio, tmp_path, held):
    jobs = Jobs(studio, tmp_path)
    many = [new_job(jobs) for _ in range(4)]
    for job in many:
        jobs.submit(job)
    wait_until(lambda: many[1].state == "running")
    closing = threading.Thread(target=jobs.close)
    closing.start()
    held.set()
    closing.join(20)
    assert not closing.is_alive() and {job.state for job in many} == {"canceled"}


def test_a_video_with_too_many_frames_is_stopped(studio, tmp_path, monkeypatch):
    monkeypatch.setattr(studio_module, "MAX_FPS", videos.RATE - 1)
    clip = videos.write(tmp_path / "clip.mkv", videos.scenes(1, 2, seconds=1.5))
    frames = []
    with pytest.raises(InputError, match="more than 11 frames per second"):
        studio.video(clip, Options(style="tiny", size=128), tmp_path / "a.mp4", lambda: frames.append(1))
    assert len(frames) == 2 * (videos.RATE - 1) and [path.name for path in tmp_path.iterdir()] == ["clip.mkv"]


def first_frame(path):
    with av.open(str(path)) as video:
        return np.float32(next(video.decode(video=0)).to_ndarray(format="rgb24"))


def test_a_video_is_mixed_with_its_cartoon(studio, tmp_path):
    clip = videos.write(tmp_path / "clip.mkv", videos.scenes(1, 2, seconds=0.5))
    decoded = []
    for strength in (0, 0.5, 1):
        options = Options(style="tiny", strength=strength, working_size=256)
        made = studio.video(clip, options, tmp_path / "a.mp4", lambda: None)
        assert made.working_size == 256
        decoded.append(first_frame(tmp_path / "a.mp4"))
    source = first_frame(clip)
    assert np.abs(decoded[0] - source).mean() < 3 < np.abs(decoded[2] - source).mean()
    assert np.abs(decoded[1] - (decoded[0] + decoded[2]) / 2).mean() < 3
