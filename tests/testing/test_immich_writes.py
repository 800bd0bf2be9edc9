"""What Immich's own jobs do to what was written, what undoes a write, and what tags leave behind, as seen on real servers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from facesets.testing import Asset, Box, ImmichServer, Library, Person, User, faults, immich_server
from tests.testing.conftest import Family, jpeg

SIDE = (400, 300)


class Home:
    """Anna, the admin, with Oma on four photos and Opa on three; one face on the first photo is nobody's; Bob with one photo."""

    def __init__(self) -> None:
        self.library = Library(seed=3)
        self.anna: User = self.library.user("anna")
        self.bob: User = self.library.user("bob")
        self.oma: Person = self.library.person(self.anna, "Oma")
        self.opa: Person = self.library.person(self.anna, "Opa")
        self.photos: list[Asset] = [
            self.library.photo(self.anna, jpeg(*SIDE), faces=[Box(10, 10, 90, 90, self.oma if n < 4 else self.opa)]) for n in range(7)
        ]
        self.library.face(self.photos[0], Box(200, 10, 280, 90))
        self.bobs = self.library.photo(self.bob, jpeg(*SIDE))
        self.library.partner(self.bob, self.anna)


class Writer:
    """Asks as one user, and gives back what it was answered."""

    def __init__(self, url: str, key: str) -> None:
        self.client = httpx.Client(base_url=f"{url}/api", headers={"x-api-key": key}, timeout=10)

    def __call__(self, method: str, path: str, body: object = None, *, status: int = 200) -> Any:
        answer = self.client.request(method, path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def faces(self, photo: Asset) -> list[tuple[str, str | None]]:
        """Id and person's name of each face that the API shows."""
        return [(f["id"], f["person"] and f["person"]["name"]) for f in self("GET", f"/faces?id={photo.id}")]

    def draw(self, photo: Asset, person: Person, box: tuple[int, int, int, int], frame: tuple[int, int] = SIDE) -> str:
        """Draw a face and find the id that the answer does not say."""
        before = {i for i, _ in self.faces(photo)}
        x1, y1, x2, y2 = box
        place = {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "imageWidth": frame[0], "imageHeight": frame[1]}
        self("POST", "/faces", {"assetId": photo.id, "personId": person.id, **place}, status=201)
        (made,) = {i for i, _ in self.faces(photo)} - before
        return made

    def job(self, name: str, **body: object) -> None:
        """Start a job for the whole server."""
        self("PUT", f"/jobs/{name}", {"command": "start", **body})


@pytest.fixture
def home() -> Home:
    return Home()


@pytest.fixture
def server(home: Home, version: str) -> Iterator[ImmichServer]:
    with immich_server(home.library, version) as running:
        yield running


@pytest.fixture
def writer(server: ImmichServer, home: Home) -> Iterator[Writer]:
    made = Writer(server.url, server.key_for(home.anna))
    yield made
    made.client.close()


def test_a_refresh_keeps_what_a_human_assigned(writer: Writer, home: Home) -> None:
    face = home.photos[0].faces[0]
    writer("PUT", f"/faces/{home.opa.id}", {"id": face.id})
    drawn = writer.draw(home.photos[1], home.opa, (200, 200, 260, 260))
    writer.job("faceDetection")
    assert (face.id, "Opa") in writer.faces(home.photos[0])
    assert (drawn, "Opa") in writer.faces(home.photos[1])


def test_recognising_anew_loses_every_assignment_but_those_of_drawn_faces(writer: Writer, home: Home) -> None:
    writer("PUT", f"/faces/{home.opa.id}", {"id": home.photos[0].faces[0].id})
    drawn = writer.draw(home.photos[1], home.opa, (200, 200, 260, 260))
    writer.job("facialRecognition", force=True)
    assert writer.faces(home.photos[0])[0][1] == ""  # a new unnamed person has Oma's faces
    assert (drawn, "Opa") in writer.faces(home.photos[1])
    assert writer("GET", f"/people/{home.oma.id}")["name"] == "Oma"  # who stays, with no face
    assert writer("GET", f"/people/{home.oma.id}/statistics") == {"assets": 0}
    assert [p["name"] for p in writer("GET", "/people")["people"]] == ["Opa", "", ""]


def test_detecting_anew_gives_new_ids_and_brings_deleted_faces_back(writer: Writer, home: Home) -> None:
    before = {i for p in home.photos for i, _ in writer.faces(p)}
    writer("DELETE", f"/faces/{home.photos[2].faces[0].id}", {"force": False}, status=204)
    assert writer.faces(home.photos[2]) == []
    writer.job("faceDetection", force=True)
    after = {i for p in home.photos for i, _ in writer.faces(p)}
    assert len(after) == len(before)
    assert not after & before
    assert home.oma.face_id is None


@pytest.mark.parametrize("force", [False, True])
def test_a_refresh_finds_what_was_taken_away_for_good_and_leaves_the_rest(force: bool, writer: Writer, home: Home) -> None:
    face = home.photos[2].faces[0].id
    writer("DELETE", f"/faces/{face}", {"force": force}, status=204)
    writer("POST", "/assets/jobs", {"name": "refresh-faces", "assetIds": [home.photos[2].id]}, status=204)
    found = writer.faces(home.photos[2])
    if force:
        assert [name for _, name in found] == ["Oma"]
        assert found[0][0] != face
    else:
        assert found == []


def test_a_face_drawn_over_a_found_one_breaks_the_second_refresh_of_its_photo(writer: Writer, home: Home) -> None:
    photo = home.photos[3]
    drawn = writer.draw(photo, home.opa, (12, 12, 92, 92))
    home.library.face(photo, Box(300, 200, 360, 260, home.oma))
    writer("POST", "/assets/jobs", {"name": "refresh-faces", "assetIds": [photo.id]}, status=204)
    first = writer.faces(photo)
    assert (drawn, "Opa") in first
    assert photo.faces[0].has_vector
    assert len(first) == 2  # the one under it is gone
    photo.detections.clear()  # nothing would be found any more, but the job never gets so far
    home.library.face(photo, Box(12, 12, 92, 92))
    photo.faces.pop()
    writer("POST", "/assets/jobs", {"name": "refresh-faces", "assetIds": [photo.id]}, status=204)
    assert writer.faces(photo) == first


def test_a_face_drawn_in_another_frame_gives_the_whole_photo_new_ids_at_each_refresh(writer: Writer, home: Home) -> None:
    photo = home.photos[3]
    found = photo.faces[0].id
    drawn = writer.draw(photo, home.opa, (1200, 800, 1400, 1000), frame=(1600, 1200))
    writer("POST", "/assets/jobs", {"name": "refresh-faces", "assetIds": [photo.id]}, status=204)
    ids = [i for i, _ in writer.faces(photo)]
    assert drawn in ids
    assert found not in ids
    assert len(ids) == 2


def test_an_edited_photo_is_never_looked_at_again(writer: Writer, home: Home) -> None:
    home.library.edit(home.photos[0], "rotate", angle=90)
    ids = [i for i, _ in writer.faces(home.photos[0])]
    writer("POST", "/assets/jobs", {"name": "refresh-faces", "assetIds": [home.photos[0].id]}, status=204)
    assert [i for i, _ in writer.faces(home.photos[0])] == ids
    writer.job("faceDetection", force=True)
    assert writer.faces(home.photos[0]) == []


def test_recognising_what_is_missing_leaves_assigned_faces_alone(writer: Writer, home: Home) -> None:
    late = home.library.face(home.photos[5], Box(300, 10, 380, 90, resembles=home.oma))
    writer("PUT", f"/faces/{home.opa.id}", {"id": home.photos[0].faces[0].id})
    writer.job("facialRecognition", force=False)
    assert (late.id, "Oma") in writer.faces(home.photos[5])
    assert (home.photos[0].faces[0].id, "Opa") in writer.faces(home.photos[0])
    assert writer.faces(home.photos[0])[1][1] is None  # near nobody


def test_cleaning_up_deletes_nobody(writer: Writer, home: Home) -> None:
    lonely = writer("POST", "/people", {"name": "Lonely"}, status=201)["id"]
    writer("POST", "/jobs", {"name": "person-cleanup"}, status=204)
    assert writer("GET", f"/people/{lonely}")["name"] == "Lonely"
    assert "Lonely" not in [p["name"] for p in writer("GET", "/people")["people"]]
    assert [p["id"] for p in writer("GET", "/search/person?name=lonely")] == [lonely]


def test_what_was_made_is_undone_by_taking_away_the_face_and_then_the_person(writer: Writer, home: Home) -> None:
    before = [(f.id, f.person_id, f.x1) for f in home.photos[0].faces]
    made = writer("POST", "/people", {"name": "New"}, status=201)["id"]
    nobodys = home.photos[0].faces[1].id
    writer("PUT", f"/faces/{made}", {"id": nobodys})
    drawn = writer.draw(home.photos[0], home.library.people[made], (100, 200, 160, 260))
    writer("DELETE", f"/faces/{drawn}", {"force": True}, status=204)
    writer("DELETE", f"/people/{made}", status=204)
    assert [(f.id, f.person_id, f.x1) for f in home.photos[0].faces] == before


def test_a_person_who_lost_the_last_face_stays_and_gets_everything_back_with_it(writer: Writer, home: Home) -> None:
    (only,) = (writer("POST", "/people", {"name": "Once"}, status=201)["id"],)
    face = home.photos[0].faces[1].id
    writer("PUT", f"/faces/{only}", {"id": face})
    writer("PUT", f"/faces/{home.opa.id}", {"id": face})
    person = writer("GET", f"/people/{only}")
    assert person["thumbnailPath"]
    assert home.library.people[only].face_id == face  # which is Opa's now
    assert home.library.people[home.opa.id].face_id != face


def test_taking_the_featured_face_away_features_another(writer: Writer, home: Home) -> None:
    featured = home.oma.face_id
    writer("PUT", f"/faces/{home.opa.id}", {"id": featured})
    assert home.oma.face_id in {f.id for p in home.photos[1:4] for f in p.faces}
    writer("PUT", f"/faces/{home.oma.id}", {"id": featured})
    writer("PUT", f"/people/{home.oma.id}", {"featureFaceAssetId": home.photos[0].id})
    assert home.oma.face_id == featured


def test_a_merge_into_somebody_new_leaves_no_thumbnail(writer: Writer, home: Home) -> None:
    heir = writer("POST", "/people", {}, status=201)["id"]
    assert writer("POST", f"/people/{heir}/merge", {"ids": [home.oma.id]}) == [{"id": home.oma.id, "success": True}]
    person = writer("GET", f"/people/{heir}")
    assert (person["name"], person["thumbnailPath"]) == ("Oma", "")
    assert writer.client.get(f"/people/{heir}/thumbnail").status_code == 404
    writer("PUT", f"/people/{heir}", {"featureFaceAssetId": home.photos[0].id})
    assert writer.client.get(f"/people/{heir}/thumbnail").status_code == 200


def test_without_machine_learning_2_makes_no_thumbnail_and_3_does(version: str, home: Home) -> None:
    home.library.machine_learning = False
    with immich_server(home.library, version) as server:
        writer = Writer(server.url, server.key_for(home.anna))
        made = writer("POST", "/people", {"name": "New"}, status=201)["id"]
        writer("PUT", f"/faces/{made}", {"id": home.photos[0].faces[1].id})
        assert bool(writer("GET", f"/people/{made}")["thumbnailPath"]) is server.dialect.modern
        writer.client.close()


def test_a_partners_photo_takes_a_face_in_2_only(writer: Writer, server: ImmichServer, home: Home) -> None:
    place = {"x": 1, "y": 1, "width": 50, "height": 50, "imageWidth": 400, "imageHeight": 300}
    asked = {"assetId": home.bobs.id, "personId": home.oma.id, **place}
    if server.dialect.modern:
        writer("POST", "/faces", asked, status=400)
        return
    writer("POST", "/faces", asked, status=201)
    drawn = home.bobs.faces[0].id
    assert writer.faces(home.bobs) == [(drawn, "Oma")]
    owner = Writer(server.url, server.key_for(home.bob))
    assert owner.faces(home.bobs) == [(drawn, None)]
    writer("DELETE", f"/faces/{drawn}", {"force": True}, status=400)
    writer("DELETE", f"/people/{home.oma.id}", status=204)
    assert home.bobs.faces[0].person_id is None
    owner("DELETE", f"/faces/{drawn}", {"force": True}, status=204)
    owner.client.close()


def test_nothing_about_faces_changes_the_photos_date_and_tags_do(writer: Writer, home: Home) -> None:
    photo = home.photos[0]
    before = photo.updated_at
    writer("PUT", f"/faces/{home.opa.id}", {"id": photo.faces[0].id})
    writer.draw(photo, home.oma, (200, 200, 260, 260))
    writer("POST", "/albums", {"albumName": "Oma", "assetIds": [photo.id]}, status=201)
    assert photo.updated_at == before
    tag = writer("PUT", "/tags", {"tags": ["people/Oma"]})[0]["id"]
    assert writer("PUT", "/tags/assets", {"tagIds": [tag], "assetIds": [photo.id, home.bobs.id]}) == {"count": 1}
    assert photo.updated_at > before


def test_a_deleted_tag_comes_back_from_the_file_beside_the_original_unless_it_was_taken_off_first(writer: Writer, home: Home) -> None:
    def values() -> list[str]:
        return [t["value"] for t in writer("GET", "/tags")]

    photo = home.photos[0]
    refresh = {"name": "refresh-metadata", "assetIds": [photo.id]}
    tag = writer("PUT", "/tags", {"tags": ["Oma"]})[0]["id"]
    writer("PUT", f"/tags/{tag}/assets", {"ids": [photo.id]})
    assert photo.sidecar_tags == ["Oma"]
    writer("DELETE", f"/tags/{tag}", status=204)
    writer("POST", "/assets/jobs", refresh, status=204)
    assert values() == ["Oma"]
    tag = writer("GET", "/tags")[0]["id"]
    writer("DELETE", f"/tags/{tag}/assets", {"ids": [photo.id]})
    writer("DELETE", f"/tags/{tag}", status=204)
    writer("POST", "/assets/jobs", refresh, status=204)
    assert values() == []
    assert photo.sidecar_tags == []  # the file stays


def test_tagging_a_partners_photo_by_the_tag_writes_beside_their_original(writer: Writer, home: Home) -> None:
    tag = writer("PUT", "/tags", {"tags": ["Oma"]})[0]["id"]
    assert writer("PUT", f"/tags/{tag}/assets", {"ids": [home.bobs.id]}) == [{"id": home.bobs.id, "success": True}]
    assert home.bobs.sidecar_tags == ["Oma"]
    assert [t.value for t in home.library.tags.values() if t.owner_id == home.bob.id] == ["Oma"]


def test_an_answer_can_be_lost_after_the_write_was_done(writer: Writer, server: ImmichServer, home: Home) -> None:
    server.faults.add(faults.failed_after_writing(), "POST /api/people", times=1)
    assert writer.client.post("/people", json={"name": "New"}).status_code == 500
    assert [p["name"] for p in writer("GET", "/search/person?name=New")] == ["New"]


def test_each_write_asks_for_its_own_permission(server: ImmichServer, home: Home) -> None:
    for permission, method, path, body in (
        ("person.create", "POST", "/people", {}),
        ("person.update", "PUT", f"/people/{home.oma.id}", {}),
        ("person.merge", "POST", f"/people/{home.oma.id}/merge", {"ids": []}),
        ("person.reassign", "PUT", f"/people/{home.oma.id}/reassign", {"data": []}),
        ("person.statistics", "GET", f"/people/{home.oma.id}/statistics", None),
        ("face.update", "PUT", f"/faces/{home.oma.id}", {"id": home.photos[0].faces[0].id}),
        ("face.delete", "DELETE", f"/faces/{home.photos[0].faces[0].id}", {"force": False}),
        ("album.create", "POST", "/albums", {"albumName": "x"}),
        ("tag.create", "PUT", "/tags", {"tags": ["x"]}),
        ("job.create", "POST", "/assets/jobs", {"name": "refresh-faces", "assetIds": []}),
    ):
        without = Writer(server.url, home.library.key(home.anna, ["person.read", "asset.read"]).secret)
        answer = without.client.request(method, path, json=body)
        assert (answer.status_code, answer.json()["message"]) == (403, f"Missing required permission: {permission}")
        enough = Writer(server.url, home.library.key(home.anna, [permission]).secret)
        assert enough.client.request(method, path, json=body).status_code < 300, permission
        without.client.close()
        enough.client.close()


def _together(home: Home, server: ImmichServer) -> tuple[Writer, Writer]:
    """Bob has Oma on three photos of his own and is in Anna's cluster group."""
    anna, bob = (Writer(server.url, server.key_for(u)) for u in (home.anna, home.bob))
    for _ in range(3):
        home.library.photo(home.bob, jpeg(*SIDE), faces=[Box(10, 10, 90, 90, resembles=home.oma)])
    home.bob.cluster_group_id = home.anna.cluster_group_id
    anna("PUT", "/jobs/facialRecognition", {"command": "start", "force": False})
    return anna, bob


@pytest.fixture
def modern(home: Home, request: pytest.FixtureRequest) -> Iterator[tuple[ImmichServer, Writer, Writer]]:
    with immich_server(home.library, getattr(request, "param", "3.2.2")) as server:
        anna, bob = _together(home, server)
        yield server, anna, bob
        anna.client.close()
        bob.client.close()


def test_users_of_a_cluster_group_share_a_persons_id_and_not_the_name(modern: tuple[ImmichServer, Writer, Writer], home: Home) -> None:
    _, anna, bob = modern
    (theirs,) = bob("GET", "/people")["people"]
    assert (theirs["id"], theirs["name"]) == (home.oma.id, "")
    bob("PUT", f"/people/{theirs['id']}", {"name": "Grandma"})
    assert anna("GET", f"/people/{home.oma.id}")["name"] == "Oma"
    assert anna("GET", "/users/me")["clusterGroupId"] == bob("GET", "/users/me")["clusterGroupId"]


def test_people_are_merged_for_every_user_of_a_cluster_group_who_did_not_name_both(
    modern: tuple[ImmichServer, Writer, Writer], home: Home
) -> None:
    _, anna, bob = modern
    bob("PUT", f"/people/{home.oma.id}", {"name": "Grandma"})
    other = anna("POST", "/people", {}, status=201)["id"]
    assert anna("POST", "/people/merge", {"ids": [other, home.oma.id]}) == [{"id": home.oma.id, "success": True}]
    assert anna("GET", f"/people/{other}")["name"] == "Oma"
    assert bob("GET", f"/people/{home.oma.id}")["name"] == "Grandma"
    assert bob("GET", f"/people/{home.oma.id}/statistics") == {"assets": 3}
    assert anna("GET", f"/people/{other}/statistics") == {"assets": 4}
    anna("POST", "/people/merge", {"ids": [other]}, status=400)


@pytest.mark.parametrize("modern", ["3.2.0"], indirect=True)
def test_3_2_0_shows_nobody_after_another_users_merge(modern: tuple[ImmichServer, Writer, Writer], home: Home) -> None:
    _, anna, bob = modern
    other = anna("POST", "/people", {}, status=201)["id"]
    anna("POST", "/people/merge", {"ids": [other, home.oma.id]})
    bobs = next(a for a in home.library.assets.values() if a.owner_id == home.bob.id and a.faces)
    assert [name for _, name in bob.faces(bobs)] == [None]


def test_before_3_2_there_are_no_cluster_groups(writer: Writer, family: Family) -> None:
    assert "clusterGroupId" not in writer("GET", "/users/me")
    writer("POST", "/people/merge", {"ids": []}, status=404)


def test_a_tag_is_renamed_from_3_2_on(home: Home) -> None:
    for version, renamed in (("3.1.0", "family/Oma"), ("3.2.2", "family/Grandma")):
        with immich_server(home.library, version) as server:
            writer = Writer(server.url, server.key_for(home.anna))
            tag = writer("PUT", "/tags", {"tags": ["family/Oma"]})[0]["id"]
            assert writer("PUT", f"/tags/{tag}", {"name": "Grandma"})["value"] == renamed
            writer.client.close()
