"""What gateways, applications and merchants ask: may this key do that? No templates, sessions or forms."""
