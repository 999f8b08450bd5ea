"""The shop on AWS, as a CDK app: ``make aws-synth`` draws it, ``make aws-deploy`` brings it up (docs/deploy-aws.md).

What may be said with ``-c name=value``:

    name             the stack's name and the prefix of what is in it (Todoku)
    domain           the shop's address, e.g. shop.example.jp; with it comes CloudFront
    certificate      ARN of its certificate in us-east-1 (AWS Certificate Manager)
    settings_secret  name of the secret with Stripe's keys, TODOKU_SECRET_KEY and the mail server's login
    database_secret  name of a secret with DATABASE_URL: an existing PostgreSQL instead of Aurora, and no VPC
    operators        mail addresses for the bell, with commas between
    environment      more settings for the functions, as JSON
    smtp_host        the mail server; its login stands in the settings' secret
"""

from __future__ import annotations

import aws_cdk as cdk
from parts.choices import Choices
from parts.stack import ShopStack


def main() -> None:
    """Draw the stack."""
    app = cdk.App()
    choices = Choices.read(app.node)
    ShopStack(app, choices.name, choices=choices, description="Todoku: a shop in which a paid order always arrives")
    app.synth()


if __name__ == "__main__":
    main()
