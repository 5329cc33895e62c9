"""A story grammar: seeded, freely licensed English for the demo model to learn.

    python3 stories.py --seed 1 --count 5           prints five stories

A story is a plot (a function of this file) told about a small cast that keeps its names, places and things, so that a model
has something to remember over a few hundred tokens. Training and held-out text use disjoint seeds.
"""
import argparse
import random
import re

GIRLS = "Lily Anna Rosa Mia Clara Nora Ella Ivy June Maya Sofia Zoe Ruby Hazel Alice Greta Nina Tess Wendy Olga".split()
BOYS = "Tom Ben Max Leo Sam Finn Hugo Oscar Theo Jack Paul Milo Adam Felix Otto Ned Louis Karl Ivan Rory".split()
ANIMALS = "fox rabbit owl bear mouse frog hedgehog squirrel duck goat badger crow otter turtle cat dog donkey hen wolf beaver".split()
ANIMAL_NAMES = "Pip Bramble Dusty Pepper Clover Hoot Biscuit Rusty Willow Button Moss Nutmeg Tango Ginger Puddle Acorn".split()
PLACES = ["the old mill", "the river", "the market", "the forest", "the lighthouse", "the garden", "the harbor", "the hill behind the village",
          "the library", "the train station", "the bakery", "the meadow", "the castle ruins", "the school", "the lake", "the stone bridge",
          "the orchard", "the barn", "the beach", "the town square"]
THINGS = ["kite", "lantern", "basket", "boat", "drum", "map", "key", "clock", "ladder", "wagon", "blanket", "telescope", "flute", "rope", "umbrella",
          "ball", "book", "coat", "bell", "wheel", "box", "mirror", "compass", "hat", "violin", "bucket", "spoon", "letter", "coin", "button"]
COLORS = "red blue green yellow white black silver golden brown orange purple gray".split()
SIZES = "small big tiny huge long heavy light round old new".split()
FOODS = ["apple pie", "warm bread", "a bowl of soup", "pancakes with honey", "roasted chestnuts", "a slice of cheese", "plum cake", "a pot of tea",
         "carrots from the garden", "fresh berries"]
WEATHER = ["The sun was shining.", "It had rained all night.", "A cold wind blew from the north.", "Snow covered the roofs.", "The sky was gray and quiet.",
           "The morning was warm and bright.", "Thick fog lay over the fields.", "The leaves were turning yellow."]
TIMES = ["One morning", "One day", "One evening", "On a cold winter day", "Last summer", "Early in the spring", "On the first day of school", "Late in autumn",
         "After lunch", "Before sunrise"]
FEELINGS = {"sad": "cried", "angry": "stamped one foot", "afraid": "hid behind a tree", "tired": "sat down on a stone", "worried": "looked at the ground",
            "lonely": "sighed"}
GOOD = "happy proud glad calm cheerful thankful".split()
TRAITS = "kind brave curious clever shy patient stubborn quiet careful funny".split()
JOBS = "baker farmer sailor teacher painter gardener carpenter doctor miller fisherman tailor watchmaker".split()
LESSONS = ["a friend is worth more than gold", "it is good to share", "small steps can climb a high hill", "it is better to ask than to guess",
           "telling the truth makes the heart light", "patience opens many doors", "even the smallest can help", "listening is a kind of courage"]


class Person:
    def __init__(self, rng, name, she, what):
        self.name, self.what, self.trait = name, what, rng.choice(TRAITS)
        self.he, self.him, self.his = ("she", "her", "her") if she else ("he", "him", "his")
        self.He = self.he.capitalize()


class Story:
    """A cast and a stage, drawn once, that the sentences of one story share."""

    def __init__(self, rng):
        self.rng = rng
        used = set()
        self.a, self.b = self.person(used), self.person(used)
        self.place, self.other = rng.sample(PLACES, 2)
        self.thing, self.second = rng.sample(THINGS, 2)
        self.color, self.size = rng.choice(COLORS), rng.choice(SIZES)
        self.feeling = rng.choice(list(FEELINGS))
        self.good, self.food = rng.choice(GOOD), rng.choice(FOODS)

    def person(self, used):
        rng = self.rng
        while True:
            kind, she = rng.random(), rng.random() < 0.5
            if kind < 0.5:
                name, what = rng.choice(GIRLS if she else BOYS), "girl" if she else "boy"
            elif kind < 0.85:
                name, what = rng.choice(ANIMAL_NAMES), rng.choice(ANIMALS)
            else:
                name, what = rng.choice(GIRLS if she else BOYS), rng.choice(JOBS)
            if name not in used:
                used.add(name)
                return Person(rng, name, she, what)

    def one(self, *choices):
        return self.rng.choice(choices)

    def opening(self):
        a = self.a
        traits = f"a {a.trait} {a.what}" if self.rng.random() < 0.6 else f"a {a.what}"
        return self.one(f"Once upon a time there was {traits} named {a.name}.", f"Once upon a time, {traits} named {a.name} lived near {self.place}.",
                        f"There once was {traits} called {a.name}, who lived close to {self.place}.",
                        f"{a.name} was {traits} who loved {self.place} more than any other place.")

    def scene(self):
        return f"{self.one(*TIMES)}, {self.a.name} went to {self.place}. {self.one(*WEATHER)}"

    def meet(self):
        a, b = self.a, self.b
        return self.one(f"There {a.he} met {b.name}, the {b.what}.", f"On the way {a.he} saw {b.name}, a {b.trait} {b.what}.",
                        f"{b.name} the {b.what} was already there.")

    def say(self, who, words):
        return self.one(f'"{words}" said {who.name}.', f'{who.name} said, "{words}"', f'"{words}" {who.he} said.')

    def ask(self, who, words):
        return self.one(f'"{words}" asked {who.name}.', f'{who.name} asked, "{words}"')

    def closing(self):
        a, b = self.a, self.b
        return self.one(f"From that day on, {a.name} and {b.name} were best friends.", f"{a.name} learned that {self.one(*LESSONS)}.",
                        f"In the evening they ate {self.food} together, and {a.name} felt {self.good}.",
                        f"That night {a.name} slept well and dreamed of {self.other}.", f"And every year after that, they met again at {self.place}.")


def lost(s):
    a, b, t = s.a, s.b, f"{s.color} {s.thing}"
    found = s.one(f"under a bench near {s.other}", f"behind {s.other}", f"at {s.other}, next to a {s.size} {s.second}")
    return [f"{a.name} had a {t}, and {a.he} took it everywhere.", s.scene(), f"But when {a.he} looked into {a.his} bag, the {s.thing} was gone.",
            f"{a.name} was {s.feeling} and {FEELINGS[s.feeling]}.", s.meet(), s.ask(b, "What is the matter?"), s.say(a, f"I lost my {t}."),
            s.say(b, "Do not worry. I will help you look."), f"They looked in {s.place} and they looked in {s.other}.",
            f"At last {b.name} found the {s.thing} {found}.", s.say(a, s.one("Thank you!", "Oh, thank you so much!", "You are a true friend!")), s.closing()]


def build(s):
    a, b = s.a, s.b
    n = s.one("two", "three", "four", "five")
    return [f"{a.name} wanted to build a {s.size} {s.thing}.", s.scene(), f"{a.He} needed a {s.second} and {n} pieces of wood, but {a.he} had only one.", s.meet(),
            s.ask(a, f"Do you have a {s.second}?"), s.say(b, s.one(f"Yes, but it is {s.color} and a little broken.", f"I have one at home, near {s.other}.", "Yes, and I like to build things too.")),
            f"So {a.name} and {b.name} worked together for {n} days.", s.one("First it was too short, then it was too long.", "Twice it fell down, and twice they began again.", "It was hard work, but they did not stop."),
            f"At last the {s.thing} was ready, and they painted it {s.color}.", f"Everyone in {s.other} came to see it.", s.closing()]


def storm(s):
    a, b = s.a, s.b
    return [s.scene(), f"{a.He} carried a {s.color} {s.thing} and a {s.size} {s.second}.", "Suddenly the sky turned dark, and a great storm began.",
            f"The wind took the {s.thing} and threw it toward {s.other}.", f"{a.name} felt {s.feeling} and {FEELINGS[s.feeling]}.",
            f"Then {a.he} heard a voice.", s.say(b, s.one("Come in here! It is dry.", "Quick, follow me!", "Hold my hand and do not look back!")),
            f"It was {b.name} the {b.what}.", f"They waited together until the rain stopped, and {b.name} told a story about {s.other}.",
            f"When the sun came back, they went to {s.other} and found the {s.thing}.", s.one("It was wet, but it was not broken.", "It was broken, but together they repaired it."), s.closing()]


def trade(s):
    a, b = s.a, s.b
    return [f"{a.name} had a {s.color} {s.thing} that {a.he} did not need any more.", s.scene(), s.meet(), f"{b.name} had a {s.size} {s.second}.",
            s.ask(a, f"Will you give me your {s.second} for my {s.thing}?"), s.one(f"{b.name} thought about it for a long time.", f"{b.name} looked at the {s.thing} from every side.", f"{b.name} laughed."),
            s.say(b, s.one("That is a fair trade.", f"Only if you also give me {s.food}.", "I will, if you promise to take good care of it.")),
            f"So {a.name} went home with the {s.second}, and {b.name} went to {s.other} with the {s.thing}.",
            s.one(f"But soon {a.he} missed the {s.thing}.", f"The {s.second} was just what {a.he} needed.", f"Both of them thought that they had won."), s.closing()]


def secret(s):
    a, b = s.a, s.b
    return [s.scene(), f"Near a {s.size} stone {a.he} found a {s.color} {s.thing} and an old map.", f"The map showed the way from {s.place} to {s.other}.", s.meet(),
            s.ask(b, s.one("What do you have there?", "Where did you find that?", "Is that a map?")), s.say(a, "It is a secret, but I will share it with you."),
            f"They walked past {s.one(*PLACES)}, over a field and through a dark gate.", s.one("Once they heard a strange sound and stopped.", f"{b.name} was afraid, but {a.name} was not.", "They counted one hundred steps to the left."),
            f"At {s.other} they dug a deep hole, and in it there was a {s.second}.", s.one(f"Inside it they found {s.food}, and they laughed until the stars came out.", "It was not gold, but it was theirs.", f"On it was written: {s.one(*LESSONS)}."), s.closing()]


def promise(s):
    a, b = s.a, s.b
    return [f"{a.name} made a promise to {b.name}, the {b.what}.", s.say(a, f"Tomorrow I will bring the {s.thing} to {s.place}."), f"But the next day {s.one(*PLACES)} was full of music, and {a.name} forgot.",
            f"{b.name} waited at {s.place} with a {s.color} {s.second} for a long, long time.", f"In the evening {a.name} remembered. {a.He} was {s.feeling} and {FEELINGS[s.feeling]}.",
            f"{a.He} ran all the way to {s.place}.", s.say(a, "I am sorry. I forgot my promise."), s.say(b, s.one("I was sad, but I am glad that you came.", "Everyone forgets sometimes.", "Next time I will remind you.")),
            f"Then {a.name} gave {b.him} the {s.thing}, and {b.he} smiled.", s.closing()]


def contest(s):
    a, b = s.a, s.b
    k = s.rng.randint(2, 9)
    return [f"Every year there was a contest at {s.place}: who could bring the best {s.thing}?", f"{a.name} made a {s.color} one. {b.name}, the {b.what}, made a {s.size} one.",
            s.say(b, s.one("Mine will win.", "Nobody can beat me.", "I have worked for weeks.")), s.say(a, s.one("We will see.", "I only want to have fun.", "Good luck to both of us.")),
            f"{s.one(*WEATHER)} {k} judges came from {s.other}.", s.one(f"The judges liked the {s.color} {s.thing} best.", f"The judges gave the prize to {b.name}.", "In the end the judges could not choose, and both of them won."),
            f"The prize was {s.food}.", f"{a.name} cut it in two and gave one half to {b.name}.", s.closing()]


PLOTS = [lost, build, storm, trade, secret, promise, contest]


def story(seed):
    """The story of a seed: the same text on every machine and in every Python 3."""
    rng = random.Random(seed)
    s = Story(rng)
    body = rng.choice(PLOTS)(s)
    return polish(" ".join([s.opening(), *body]))


def polish(text):
    """Articles before vowels, and the comma before 'he said'."""
    text = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)
    return re.sub(r'\." (said|he said|she said)\b', r'," \1', text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="number of the first story")
    parser.add_argument("--count", type=int, default=5)
    options = parser.parse_args()
    print("\n\n".join(story(options.seed + i) for i in range(options.count)))


if __name__ == "__main__":
    main()
