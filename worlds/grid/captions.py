"""Caption the goal and actions of a game on a grid, with one short or one dense caption."""

import itertools
from random import Random

from worlds.family import Claim
from worlds.grid.rules import FACING_NAMES, play, things_of
from worlds.grid.truth import GridWorld
from worlds.sentence_templates import SHORT_STYLE, listed, style_claims, style_sentences, with_article

MISSIONS = {
    "unlock": (
        "pick up the {color} key, open the {color} door",
        "take the {color} key and unlock the {color} door",
    ),
    "fetch": ("pick up the {target}", "go to the {target} and pick it up"),
    "open": ("open the {target}", "go to the {target} and open it"),
}
SHORT = ("{mission} on a {floor} floor", "an arrow must {mission} on a {floor} floor")
SHORT_STILL = "an arrow and {things} on a {floor} floor"
OPENING = (
    "The video shows a small game on a grid with a {floor} floor and gray walls, seen from above.",
    "Seen from above, a white arrow plays a game on a {floor} floor with gray walls.",
    "This clip shows a simple puzzle on a {floor} grid with walls of gray bricks.",
)
STILL_OPENING = (
    "The picture shows a small game on a grid with a {floor} floor and gray walls, seen from above."
)
THINGS = (
    "In the cells there {are} {things}.",
    "The grid holds {things}.",
)
MISSION = (
    "The goal is to {mission}.",
    "The agent, an arrow, has to {mission}.",
)
PLAY = (
    "Step by step the arrow, which first points {facing}, {actions}.",
    "The arrow points {facing} at first; then it {actions}.",
)
FACING = "The arrow points {facing} at first."
"""What is left of the last of `PLAY` where the actions are not told."""
ENDS = {
    "unlock": ("So the {color} door is open in the end, and only its frame is left.",
               "With the {color} key the {color} door opens, and the goal is reached."),
    "fetch": ("So the goal is reached, and the arrow keeps the {target} until the end.",
              "In the end the arrow carries the {target}, as it should."),
    "open": ("The {target} falls open and is gone, and the goal is reached.",
             "In the end the {target} is open and gone, as it should be."),
}  # fmt: skip
MANNER = {
    "carry": (
        "While the arrow carries something, it takes on the color of that thing.",
        "The arrow has the color of whatever it carries, and a white tip.",
    ),
    "rules": (
        "It never goes through walls or things, and moves by one cell at a time.",
        "Every move is one turn or one cell forward, and nothing else on the grid moves by itself.",
    ),
    "view": (
        "The view is fixed, with no zoom and no cuts.",
        "The camera does not move, and the cells are all of the same size.",
    ),
}
STILL_MANNER = (
    "A white arrow that points {facing} stands in one of the cells and waits for the game to begin.",
    "All cells are squares of the same size, and each holds one thing at most.",
    "The drawing is simple and flat, with clean edges, and there is neither text nor shadow in it.",
    "The rest of the floor is empty, so that the arrow can turn and go there.",
)


def short_caption(world: GridWorld, seed: int) -> str:
    """Return a caption such as `pick up the yellow key, open the yellow door on a navy floor`."""
    rng = Random(f"worlds/grid/short/{seed}")
    style = SHORT_STYLE[world.style]
    if not world.moves:
        things = listed([with_article(thing) for thing in things_of(world.start)])
        return SHORT_STILL.format(things=things, floor=world.floor) + style
    return rng.choice(SHORT).format(mission=_mission(world, rng), floor=world.floor) + style


def dense_caption(world: GridWorld, seed: int) -> str:
    """Return a caption of 60 to 135 words that states every claim of `world`."""
    rng = Random(f"worlds/grid/dense/{seed}")
    visible = rng.sample(things_of(world.start), len(things_of(world.start)))
    names = {
        "floor": world.floor,
        "things": listed([with_article(thing) for thing in visible]),
        "are": "is" if len(visible) == 1 else "are",
        "facing": FACING_NAMES[world.start.facing],
        "color": world.color,
        "target": world.target,
    }
    things = rng.choice(THINGS).format(**names)
    style = style_sentences(world.style, rng)
    if not world.moves:
        manner = style + [text for text in STILL_MANNER if not style or "flat" not in text]
        manner = rng.sample(manner, len(manner))
        return " ".join([STILL_OPENING.format(**names), things, *(text.format(**names) for text in manner)])
    actions = _describe_actions(world)
    num_groups = 3 - (len(actions.split()) > 17) - (len(actions.split()) > 30)
    groups = ["rules", "carry", "view"][: num_groups - len(style)]
    sentences = [
        rng.choice(OPENING),
        things,
        rng.choice(MISSION).format(mission=_mission(world, rng)),
        rng.choice(PLAY).format(actions=actions, **names),
        rng.choice(ENDS[world.goal]),
        *style,
        *(rng.choice(MANNER[group]) for group in rng.sample(groups, len(groups))),
    ]
    return " ".join(sentence.format(**names) for sentence in sentences)


def claims(world: GridWorld) -> frozenset[Claim]:
    """Return the true claims about `world`; claims about the goal and actions need more than one frame."""
    result = {Claim(subject="floor", attribute="color", value=world.floor), *style_claims(world.style)}
    for thing in things_of(world.start):
        color, kind = thing.split()
        result.add(Claim(subject=thing, attribute="color", value=color))
        result.add(Claim(subject=thing, attribute="kind", value=kind))
    facing = FACING_NAMES[world.start.facing]
    result.add(Claim(subject="agent", attribute="first facing", value=facing))
    if world.moves:
        result.add(Claim(subject=world.target, attribute="goal", value=world.goal))
        result.add(Claim(subject="agent", attribute="goal reached", value="yes"))
        result.add(Claim(subject="agent", attribute="actions", value=", ".join(world.actions)))
    return frozenset(result)


def _mission(world: GridWorld, rng: Random) -> str:
    return rng.choice(MISSIONS[world.goal]).format(color=world.color, target=world.target)


def _describe_actions(world: GridWorld) -> str:
    """Describe the actions in words, joining consecutive equal actions."""
    states, phrases, index = play(world.start, world.actions), [], 0
    for action, group in itertools.groupby(world.actions):
        count = len(list(group))
        ahead = states[index].ahead
        thing = states[index].cells[ahead[0]][ahead[1]] if ahead else ""
        index += count
        if action == "forward":
            phrases.append(f"goes {count} cell{'s' if count > 1 else ''} forward")
        elif action.startswith("turn"):
            phrases.append("turns around" if count == 2 else f"turns {action.split()[1]}")
        else:
            phrases.append(f"{'picks up' if action == 'pick up' else 'opens'} the {thing}")
    return listed(phrases)
