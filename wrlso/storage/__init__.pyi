from .folder import Campaign as Campaign
from .info import CampaignEvent as CampaignEvent
from .info import Notes as Notes
from .info import campaign_info as campaign_info
from .info import events as events
