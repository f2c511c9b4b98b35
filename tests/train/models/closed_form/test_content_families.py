"""Words and attributes lead to items that say the same."""

import numpy as np
from scipy.sparse import csr_matrix

from tests.train.histories import histories_of
from train.models.closed_form.content import Content, ContentConfig, Tags, TagsConfig
from train.training_set import TrainingSet

TEXTS = ("red rose soap", "rose soap bar", "blue steel pan", "steel pan lid", "抹茶 护手霜", "抹茶 面膜")
ATTRIBUTES = csr_matrix(np.array([[1, 1, 0], [1, 0, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0]], dtype=np.float32))
NOBODY = np.empty(0, np.int64)


def test_words_lead_to_items_with_the_same_words_in_any_script() -> None:
    data = TrainingSet(train=histories_of([[0]]), n_items=6, texts=TEXTS)
    scores = Content.fit(ContentConfig(), data, 0).scores([np.array([0]), np.array([3]), np.array([4]), NOBODY])
    np.fill_diagonal(scores[:, [0, 3, 4, 5]], 0)
    assert [int(np.argsort(-row)[1]) for row in scores[:3]] == [1, 2, 5]
    assert not scores[3].any()


def test_a_profile_scores_by_the_cosine_of_rarity_weighted_attributes() -> None:
    data = TrainingSet(train=histories_of([[0]]), n_items=5, attributes=ATTRIBUTES)
    rarity = np.log1p(5 / np.array([3, 2, 2]))
    items = ATTRIBUTES.toarray() * rarity
    items /= np.maximum(np.linalg.norm(items, axis=1, keepdims=True), 1e-12)
    profile = 0.5 * items[0] + items[3]
    expected = items @ profile / np.linalg.norm(profile)
    scores = Tags.fit(TagsConfig(history_decay=0.5), data, 0).scores([np.array([0, 3])])
    np.testing.assert_allclose(scores[0], expected, atol=1e-6)
