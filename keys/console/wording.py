"""The words of allauth's forms, which are those of the rest of the console: labels, and what is said of an empty field.

A label says what a field is for; a placeholder that repeats it would only look like something already typed.
"""

from typing import Any

# Of each field: its label, and what is said where nothing was typed.
WORDS = {
    "login": ("User name", "Enter your user name."),
    "password": ("Password", "Enter your password."),
    "oldpassword": ("Current password", "Enter your current password."),
    "password1": ("New password", "Choose a password."),
    "password2": ("New password again", "Write the password once more."),
    "email": ("E-mail address", "Enter an e-mail address."),
    "code": ("Code", "Enter a code."),
}


class PlainWords:
    """For a form of allauth, before its own class."""

    fields: Any
    words = WORDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in self.words.keys() & self.fields.keys():
            field = self.fields[name]
            field.label, field.error_messages["required"] = self.words[name]
            field.widget.attrs.pop("placeholder", None)
            # Of a password its rules are said, and no way to pages that this console has not.
            if name != "password1":
                field.help_text = ""
